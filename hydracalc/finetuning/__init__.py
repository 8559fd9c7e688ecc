"""Fine-tuning: a branch for data of one's own, grown from a branch of a pretrained model."""
