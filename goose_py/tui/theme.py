"""Textual themes for the palettes of `appearance`."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="goose-dark",
    primary="#7aa2f7",
    secondary="#c099ff",
    accent="#7aa2f7",
    warning="#e6c074",
    error="#f2777a",
    success="#8fce7d",
    foreground="#d7dae0",
    background="#14161b",
    surface="#1a1d23",
    panel="#20242c",
    dark=True,
    variables={
        "scrollbar": "#343a46",
        "scrollbar-hover": "#4b525e",
        "scrollbar-active": "#7aa2f7",
        "scrollbar-background": "#14161b",
        "scrollbar-background-hover": "#14161b",
        "scrollbar-background-active": "#14161b",
        "scrollbar-corner-color": "#14161b",
        "screen-selection-background": "#3a4a6b",
        "screen-selection-foreground": "#eceff4",
    },
)
LIGHT = Theme(
    name="goose-light",
    primary="#0550ae",
    secondary="#6639ba",
    accent="#0550ae",
    warning="#7d4e00",
    error="#b31d28",
    success="#116329",
    foreground="#24292f",
    background="#ffffff",
    surface="#f6f8fa",
    panel="#eaeef2",
    dark=False,
    variables={
        "scrollbar": "#c4ccd4",
        "scrollbar-hover": "#8c959f",
        "scrollbar-active": "#0550ae",
        "scrollbar-background": "#ffffff",
        "scrollbar-background-hover": "#ffffff",
        "scrollbar-background-active": "#ffffff",
        "scrollbar-corner-color": "#ffffff",
        "screen-selection-background": "#b6d4fb",
        "screen-selection-foreground": "#0d1117",
    },
)
NAMES = {"dark": "goose-dark", "light": "goose-light", "ansi": "ansi-dark", "mono": "ansi-dark"}
