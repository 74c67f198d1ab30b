"""Pictures, tables and the HTML page that report on labels and trained models.

Nothing is imported here: a table of metrics needs none of what draws images.
"""
