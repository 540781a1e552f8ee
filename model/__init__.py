"""Models, their training and their ranking, on tensors alone: no files, no params, no printing.

model = recommenders.build("lightgcn", interactions, {}, dim=64, layers=4, l2=0.01, generator=g)

    recommenders/   the models that params.yaml can name, one file each
    parts/          building blocks of some of them
    *.py            shared: base class, data, sampler, graph, losses, fit, ranking, metrics
"""
