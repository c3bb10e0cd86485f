"""Images and annotations to train and to measure on."""
