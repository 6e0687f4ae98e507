from cart import Cart


def test_prices_add_up():
    cart = Cart()
    cart.add(1000)
    cart.add(250)
    assert cart.total() == 1250


def test_coupon_is_taken_off_the_full_price():
    cart = Cart(coupon_percent=10, gift_card=500)
    cart.add(2000)
    assert cart.total() == 1300


def test_gift_card_never_pays_out():
    cart = Cart(gift_card=5000)
    cart.add(2000)
    assert cart.total() == 0
