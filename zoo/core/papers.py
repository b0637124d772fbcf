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
