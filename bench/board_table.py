"""Print the table of boards in README.md: `python bench/board_table.py`."""

from __future__ import annotations

from edgec.targets.board import board_names, load_board


def main() -> None:
    """Print one row a board."""
    print("| target | board | back end | CPU / GPU | precisions |\n| --- | --- | --- | --- | --- |")
    for name in board_names():
        board = load_board(name)
        chip = f"{board.gpu.architecture}, TensorRT {board.software['tensorrt']}" if board.gpu else board.cpu
        precisions = ", ".join(board.precisions)
        print(f"| `{name}` | {board.title} | {board.backend} | {chip} | {precisions} |")


if __name__ == "__main__":
    main()
