"""What stands above a table."""

from pipeline.comparison import protocol


def facts(extractor, field, weights):
    return {"extractor": extractor, "field": field, "weights": weights}


def test_features_are_named_with_their_weights_and_untrained_is_said():
    read = {
        "visual": facts("vgg16", "image", "seeded (untrained)"),
        "textual": facts("sif", "title", "trained"),
        "words": facts("minilm", "title", "all-MiniLM-L6-v2"),
        "absent": facts("none", "", ""),
    }

    assert protocol.features_in_words(read) == (
        "Features: visual: vgg16 of image, seeded (untrained); textual: sif of title; "
        "words: minilm of title, all-MiniLM-L6-v2; absent: none."
    )


def test_models_without_features_say_so():
    text = protocol.features_in_words({})

    assert text == "Features: none, the models read interactions alone."
