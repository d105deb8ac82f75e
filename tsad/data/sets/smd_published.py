"""Git blob hashes of the published files of SMD."""

import hashlib

BLOBS = {
    "1-2": (
        "5027d3a80976a974afc4597a8e7402354a3d14a7",
        "86e8b1a03db0aa31edd8b95130fd79ba6693619c",
        "29bdb081f95cf546ba6d499302fbdc4f6137de79",
        "3de06f16510cf1c8d41f2972b56ed506b50469e7",
    ),
    "1-3": (
        "253862b50af3ba881aac527e4cc2a56e32e25509",
        "620621931063671396a635b296b9eed93aa77e9e",
        "2eed09ad2e98125d25f2700918d86796ed22b0c4",
        "d91dde2f34ba28bbf85fd17e403fa937f7eae16e",
    ),
    "1-6": (
        "52c895f51cd4cac94b3800c98cda8b5bf5ceaede",
        "345df3517fa084e52c8958709a3cb68ff0f376fb",
        "bff3b67fc10d2b7c89c778f746390852b2c24bc8",
        "b5f6c5f48b1ece06b47a508ed528735e0a0ce553",
    ),
    "1-7": (
        "b0f9440d017fb64821604d2efca1300ebf507161",
        "f717524daf4167710f1cacf81aeaed43b220fabe",
        "120964780cc40a4c68ff1b68ddb7258094b564e9",
        "1422cf5a40c3ea314d8d18862a7d89ce2a23322f",
    ),
    "2-1": (
        "85e6986e5955ad1137ee0492ab663c9998ab8c2b",
        "f6d71b1f1595d2333dd963b39e4c54d5812cb7c8",
        "d072491a7f5d4fc5d6854e5d9cb782352834adcf",
        "e1dcecdd2c53646ff41b34c5b541cc5cebb38bb3",
    ),
    "2-3": (
        "c82505805b7c9166bf52734dea07a6557ce1ffba",
        "e6b14abd219100263093255532d8d13db5a53bad",
        "60880105c01c983ef1158f1cf7f4e2feb0607e98",
        "189c869ce8241a05ae8face51380804f27336601",
    ),
    "2-5": (
        "cb59861e3f1164470cb1f5dce8ca05a869a8e7dd",
        "774b3bb9e7603a4eb992dafd3a3b30ec07e75b43",
        "18e0cf48f655bc8021f2222c928a411d69c59eae",
        "7a3dcac3f25506cd340099683cfacf31ee524cd9",
    ),
    "2-8": (
        "dc8c8fa5f78f9037108c806e45b155eea7ec493a",
        "72ebea6c02c13112d10001f91d5e153774d4e766",
        "43edaf5e053c966a0aa520eb7e0d20ba6dabbd30",
        "fca07cc58ff17dc327fcdfcbcd31da2b27242659",
    ),
    "3-2": (
        "0159c59a689e376a08c120248579579d1d2799c2",
        "fbedbc03660c4207ad3f52748bf850252b8a8cf8",
        "3bfe413eb37c82db4a823c49da9f35105ada73b6",
        "3176eea5fa50af3b2661f7c6b32f3580ead66fc7",
    ),
    "3-4": (
        "a62c27c9396e64b7bff50ca09af2be46d33439a9",
        "994417b8a350a406452ae0a45bc7ae91f69a0651",
        "71ccfd12e7bc504320f7fbe6cd9974d1df93368d",
        "1161482ce070a054fb0e7f2a252cd1af6476e290",
    ),
    "3-7": (
        "af5f4b0c9f67306e312a94e49eb19149d7ff45f8",
        "4deaedf4f43b736d5fc13f0b4b7d50863a71fdd4",
        "34e2fa46ab80de19e65a02d016fdae28583a0351",
        "3544dd60d76181271e4bb6ae6c06022f7f91f4be",
    ),
    "3-10": (
        "7fd68b1d1cfb6619b5426f760ae53b9b1273dfa1",
        "7191328c304bd94cf16433b6cfa24334752a5a33",
        "accb1de8b01fe9199e428de06ba78382f4a18c0b",
        "d0746beb2a227a927b3df8c265a15326947495f5",
    ),
}
"""Git blob hashes by machine, of its file in each folder of `tsad.data.sets.smd.PARTS`, as in the tree of the published
repository. They were computed from the published files; those of the other sixteen machines are unknown."""


def blob_hash(content: bytes) -> str:
    """Returns the Git blob hash of a file with this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
