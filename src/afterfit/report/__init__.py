"""What people look at: the HTML report, figures for papers, and tables for the terminal.

Takes plain labelled data (an `xarray.Dataset` of observations, a `pandas.DataFrame` of events, a dict about the run)
and imports neither JAX nor PyTorch; plotly, matplotlib and jinja2 only when something is written with them.
"""

from .captions import Caption, caption_of
from .fans import Fan, Fans, fans_of
from .figures import write_figures
from .html import write_html
from .study import study_table, write_study
from .terminal import members_table, summary_lines

__all__ = [
    "Caption",
    "Fan",
    "Fans",
    "caption_of",
    "fans_of",
    "members_table",
    "study_table",
    "summary_lines",
    "write_figures",
    "write_html",
    "write_study",
]
