from warmnet.data.imagenet import imagenet_classes


def test_imagenet_has_a_thousand_classes_of_distinct_names_in_its_own_order():
    names = imagenet_classes()
    assert len(names) == len({*names}) == 1000
    known = {
        0: "tench",
        134: "crane bird",
        281: "tabby",
        282: "tiger cat",
        285: "Egyptian cat",
        517: "crane",
        999: "toilet tissue",
    }
    assert {index: names[index] for index in known} == known
