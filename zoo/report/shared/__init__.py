"""The building blocks of reports: tables, numbers, figures, pages."""
