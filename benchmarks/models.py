"""The networks whose steps are timed beside PyTorch's (`torch_gan.py`), by their overrides."""

AS_TORCHS = ("loss=joint", "optimizer=adam", "ema_decay=null")
MODELS = {
    "cifar": ("model=cifar", *AS_TORCHS),
    "tf_original": ("model=tf_original", *AS_TORCHS),
    "paper_center": ("+experiment=paper_center", "dataset.path=."),  # no image is read
}
SIZES = {"cifar": 32, "tf_original": 32, "paper_center": 128}  # of images, in pixels
