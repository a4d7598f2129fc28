"""What an encoder has learned: how well simple classifiers tell classes by its features."""
