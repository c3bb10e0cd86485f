"""The loss of accuracy in precisions below float32."""
