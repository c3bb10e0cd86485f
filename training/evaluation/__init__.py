"""Average precision of detectors and files, measured through the runtime that deploys them."""
