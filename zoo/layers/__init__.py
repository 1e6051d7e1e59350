"""The few layers that the papers need and Keras does not have. Importing one imports Keras."""
