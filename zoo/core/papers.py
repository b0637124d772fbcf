"""Publications that networks come from, each written down once."""

from zoo.core.network import Paper

NEHME_2018 = Paper(
    authors="Nehme E, Weiss LE, Michaeli T, Shechtman Y",
    title="Deep-STORM: super-resolution single-molecule microscopy by deep learning",
    journal="Optica 5, 458-464",
    year=2018,
    doi="10.1364/OPTICA.5.000458",
)

QIAO_2021 = Paper(
    authors="Qiao C, Li D, Guo Y, Liu C, Jiang T, Dai Q, Li D",
    title=(
        "Evaluation and development of deep neural networks for image "
        "super-resolution in optical microscopy"
    ),
    journal="Nature Methods 18, 194-202",
    year=2021,
    doi="10.1038/s41592-020-01048-5",
)

ZHANG_2018 = Paper(
    authors="Zhang P, Liu S, Chaurasia A et al.",
    title="Analyzing complex single-molecule emission patterns with deep learning",
    journal="Nature Methods 15, 913-916",
    year=2018,
    doi="10.1038/s41592-018-0153-5",
)

ZELGER_2018 = Paper(
    authors="Zelger P, Kaser K, Rossboth B, Velas L, Schütz GJ, Jesacher A",
    title="Three-dimensional localization microscopy using deep learning",
    journal="Optics Express 26, 33166-33179",
    year=2018,
    doi="10.1364/OE.26.033166",
)

NEHME_2020 = Paper(
    authors="Nehme E, Freedman D, Gordon R et al.",
    title=(
        "DeepSTORM3D: dense 3D localization microscopy and PSF design by deep learning"
    ),
    journal="Nature Methods 17, 734-740",
    year=2020,
    doi="10.1038/s41592-020-0853-5",
)

FANG_2021 = Paper(
    authors="Fang L, Monroe F, Novak SW et al.",
    title="Deep learning-based point-scanning super-resolution imaging",
    journal="Nature Methods 18, 406-416",
    year=2021,
    doi="10.1038/s41592-021-01080-z",
)

OUYANG_2018 = Paper(
    authors="Ouyang W, Aristov A, Lelek M, Hao X, Zimmer C",
    title=(
        "Deep learning massively accelerates super-resolution localization microscopy"
    ),
    journal="Nature Biotechnology 36, 460-468",
    year=2018,
    doi="10.1038/nbt.4106",
)

GAIRE_2020 = Paper(
    authors="Gaire SK, Zhang Y, Li H, Yu R, Zhang HF, Ying L",
    title=(
        "Accelerating multicolor spectroscopic single-molecule localization microscopy "
        "using deep learning"
    ),
    journal="Biomedical Optics Express 11, 2705-2721",
    year=2020,
    doi="10.1364/BOE.391806",
)

WANG_2019 = Paper(
    authors="Wang H, Rivenson Y, Jin Y et al.",
    title=(
        "Deep learning enables cross-modality super-resolution in fluorescence "
        "microscopy"
    ),
    journal="Nature Methods 16, 103-110",
    year=2019,
    doi="10.1038/s41592-018-0239-0",
)
