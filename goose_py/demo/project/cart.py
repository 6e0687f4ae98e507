"""A shopping cart. Amounts are in cents."""

from dataclasses import dataclass, field


@dataclass
class Cart:
    prices: list[int] = field(default_factory=list)
    coupon_percent: int = 0
    gift_card: int = 0

    def add(self, price: int) -> None:
        self.prices.append(price)

    def total(self) -> int:
        """What the customer pays: the coupon is taken off the prices, the gift card is a payment."""
        amount = sum(self.prices)
        amount -= self.gift_card
        amount -= amount * self.coupon_percent // 100
        return amount
