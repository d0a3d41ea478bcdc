"""Draws the benchmark's charts and writes its tables, from the results of `scripts/bench`.

    python scripts/bench.d/plot RESULTS_DIR CHARTS_DIR [BENCHMARKS_MD]

Charts are SVG; the same results give the same bytes. In the document, what stands between
`<!-- table: NAME -->` and `<!-- end -->` is replaced. What was not measured is left out, and said.
"""

import sys
from pathlib import Path

import charts
import style
import tables
from results import Results, Unusable, read


def main(arguments: list[str]) -> None:
    if len(arguments) not in (2, 3):
        sys.exit(__doc__)
    results_folder, charts_folder, *documents = map(Path, arguments)
    try:
        results = read(results_folder)
        for document in documents:
            write_tables(document, results)
    except Unusable as error:
        sys.exit(str(error))
    draw(results, charts_folder)


def write_tables(document: Path, results: Results) -> None:
    try:
        before = document.read_text(encoding="utf-8")
        after = tables.fill(before, results)
    except OSError as error:
        raise Unusable(str(error)) from error
    except Unusable as error:
        raise Unusable(f"{document}: {error}") from error
    if after != before:
        document.write_text(after, encoding="utf-8")
    print(f"{document}: {'tables written' if after != before else 'nothing new'}")


def draw(results: Results, folder: Path) -> None:
    style.set_up()
    folder.mkdir(parents=True, exist_ok=True)
    for name, chart in charts.CHARTS.items():
        figure = chart(results)
        if figure is None:
            print(f"{name}.svg: left out, as there are no results for it")
            continue
        # Without the day, the same results give the same bytes.
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})
        print(f"{name}.svg: drawn")


if __name__ == "__main__":
    main(sys.argv[1:])
