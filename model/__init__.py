"""The mathematics: tensors in, tensors out. No files, no params, no printing.

model = recommenders.build("lightgcn", interactions, {}, dim=64, layers=4, l2=0.01, generator=g)

    recommenders/   the models that params.yaml can name, one file each
    parts/          what some of them are made of
    the rest        what all of them share: data, sampler, graph, losses, fit, ranking, metrics
"""
