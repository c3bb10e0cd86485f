"""HTML pages and the charts in them."""
