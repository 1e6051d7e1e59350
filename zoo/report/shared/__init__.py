"""What reports are made of: tables, numbers, figures, pages."""
