from xml.etree import ElementTree


def named(row):
    """A row's name, without the mark before it."""
    return row[0].text.split()[-1]


def rows_of(html):
    """The paths of a table's rows as they are folded into each other, with their cells and the widths of their bars."""
    found = {}

    def visit(parent, path):
        for element in parent:
            if element.tag == "details":
                visit(element, [*path, named(element[0])])
            elif "r" in element.get("class", "").split() and element.get("class") != "r h":
                name = path if element.tag == "summary" else [*path, named(element)]
                bars = {i: cell.get("style") for i, cell in enumerate(element) if cell.tag == "s"}
                found[".".join(name)] = [cell.text or "" for cell in element], bars

    visit(ElementTree.fromstring(html), [])
    return found
