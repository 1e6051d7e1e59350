"""Users' own files: IDX, NumPy archives, tables, and COCO's format."""
