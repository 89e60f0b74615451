"""Colours and the places of the panes.

Lines are drawn with characters that the Linux console and old fonts have, too, and the pane with
the focus has a double line: colours are never the only sign.
"""

__all__ = ["CSS"]

CSS = """
Screen { layout: vertical; background: $background; }
RowsView {
    border-top: solid $primary;
    border-title-color: $foreground;
    border-subtitle-color: $foreground;
    border-title-align: left;
    border-title-style: none;
    background: $background;
    color: $foreground;
    scrollbar-size: 0 0;
    width: 1fr;
    height: 1fr;
    min-height: 2;
}
RowsView:focus { border-top: double $accent; border-title-style: bold; }
#status { height: 1; background: $primary; color: $background; text-style: bold; }
#top { height: 3fr; }
#bottom { height: 2fr; }
#code { width: 1fr; }
#side { width: 24; margin-left: 1; }
#right { width: 1fr; margin-left: 1; }
#watched { height: auto; max-height: 30%; min-height: 2; }
#line { height: 1; }
#label { width: auto; height: 1; text-style: bold; }
Prompt {
    height: 1; border: none; padding: 0; width: 1fr; background: $background; color: $foreground;
}
Prompt:focus { border: none; background: $background; background-tint: $background; }
#keys { height: 1; color: $foreground; text-style: none; }
.narrow #right { margin-left: 0; }
.wide #side { width: 48; }
.wider #side { width: 69; }
.wide #registers { height: 2fr; min-height: 13; }
.running #source, .running #disassembly, .running #registers { text-opacity: 60%; }
"""
