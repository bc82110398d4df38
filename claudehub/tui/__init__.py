"""The live terminal views: one project (`attach`), and all of them (`watch`)."""
