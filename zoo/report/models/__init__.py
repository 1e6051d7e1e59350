"""Models as text, diagrams and BibTeX."""
