"""What is known of the published image sets: their files, checksums, addresses, sizes and normalisation."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ImageSet:
    """One published image set of ten classes.

    Attributes:
        name: as `Images(dataset=...)` spells it.
        folder: its folder inside a data folder.
        shape: (H, W, C) of one image.
        train_size, test_size: published numbers of images; test_size 0 where there is no published split.
        smallest_class: images of the rarest class among the training images: the most a balanced subset can take.
        largest_value: of a pixel; values are divided by it before anything else.
        mean, std: of each channel of the training images after that.
        checksums: SHA-256 by file name, of the files as published and, for gzip files, unpacked.
        addresses: folders on the network, the publisher's first.
    """

    name: str
    folder: str
    shape: tuple[int, int, int]
    train_size: int
    test_size: int
    smallest_class: int
    largest_value: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    checksums: dict[str, str] = field(default_factory=dict)
    addresses: tuple[str, ...] = ()


# The checksums of MNIST and Fashion-MNIST were taken from files whose published MD5 sums had been verified
# (MNIST: f68b3c2d…, d53e105e…, 9fb629c4…, ec29112d…; Fashion-MNIST: 8d4fb7e6…, 25c81989…, bef4ecab…, bb300cfd…).
MNIST = ImageSet(
    name="mnist",
    folder="mnist",
    shape=(28, 28, 1),
    train_size=60_000,
    test_size=10_000,
    smallest_class=5_421,
    largest_value=255,
    mean=(0.1307,),
    std=(0.3081,),
    checksums={
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    # The authors' own server answers downloads with "forbidden", so these two copies take its place.
    addresses=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
)

FASHION_MNIST = ImageSet(
    name="fashion-mnist",
    folder="fashion-mnist",
    shape=(28, 28, 1),
    train_size=60_000,
    test_size=10_000,
    smallest_class=6_000,
    largest_value=255,
    mean=(0.2860,),
    std=(0.3530,),
    checksums={
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
    addresses=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
)

# The MD5 sum of the archive on its page is c32a1d4ab5d03f1284b67883e8d87530. Its SHA-256 was not taken from a copy of
# our own: it is what several independent public loaders require of the same archive (gomlx, TorchVision for Ruby).
# The unpacked batches have no checksum here: a folder may hold a part of the set.
CIFAR_10 = ImageSet(
    name="cifar-10",
    folder="cifar-10-batches-bin",
    shape=(32, 32, 3),
    train_size=50_000,
    test_size=10_000,
    smallest_class=5_000,
    largest_value=255,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    checksums={"cifar-10-binary.tar.gz": "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"},
    addresses=("https://www.cs.toronto.edu/~kriz/",),
)

# Bundled with scikit-learn: nothing to find or download. Values 0 … 16; mean and deviation over all 1,797 images.
DIGITS = ImageSet(
    name="digits",
    folder="",
    shape=(8, 8, 1),
    train_size=1_797,
    test_size=0,
    smallest_class=174,
    largest_value=16,
    mean=(0.3053,),
    std=(0.3760,),
)

IMAGE_SETS = {image_set.name: image_set for image_set in (MNIST, FASHION_MNIST, CIFAR_10, DIGITS)}
