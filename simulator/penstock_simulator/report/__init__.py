"""What a run leaves behind: a record as JSON, and a page that shows it without a network.

`assembly` makes a `record` of ledgers, judges and samples; `page` shows a record. The charts are
SVG of our own: they need little, and a chart library would have to be carried in every page.
"""
