"""`ragkit ask`."""


def test_the_answer_with_its_citation(farm, ragkit):
    result = ragkit("ask", "farm.yaml", "At what moisture is wheat safe?")
    assert result.code == 0
    assert result.out == (
        "14 percent\n  [1] wheat.txt\n      Winter wheat is kept safe for a year at 14 percent moisture.\n"
    )
    assert "questions" not in result.err  # one question needs no bar of its own


def test_citations_name_the_page(farm, ragkit):
    import pymupdf

    with pymupdf.open() as document:
        for text in ("Contents of the handbook", "Barley is malted at 12 percent protein."):
            document.new_page().insert_text((72, 72), text)
        document.save(farm / "docs" / "malt.pdf")
    result = ragkit(
        "ask", "farm.yaml", "Which protein has malted barley?",
        "--set", "index.documents=[docs/*.pdf]", "--set", "models.reader.default=12 percent",
    )  # fmt: skip
    assert result.code == 0
    assert result.out.startswith("12 percent\n  [1] malt.pdf, page 2\n")


def test_abstaining_is_said(farm, ragkit):
    result = ragkit("ask", "farm.yaml", "Who invented the plough?")
    assert result.code == 0
    assert result.out == "No answer: the passages do not hold one.\n"


def test_explain_shows_every_stage(farm, ragkit):
    result = ragkit("ask", "farm.yaml", "At what moisture is wheat safe?", "--explain")
    assert result.code == 0
    lines = result.out.splitlines()
    stages = [line.split()[0] for line in lines if line.endswith(" s)")]
    assert stages == ["retrieve.hybrid", "context.pack", "answer.read"]
    assert any("wheat.txt  (dense #1, sparse #1)  Winter wheat" in line for line in lines)
    assert "  answer: 14 percent" in lines
    assert "  citations: wheat.txt" in lines
    assert any(line.startswith("used: searches 1, retriever calls 2, model calls 1, prompt tokens ") for line in lines)
    assert result.out.count("Citation(") == 0


def test_markup_in_texts_is_shown_and_not_obeyed(farm, ragkit):
    (farm / "docs" / "wheat.txt").write_text("[bold red]Wheat safe[/bold red] [/] at 14 percent, [link=x]see[/link].")
    result = ragkit("ask", "farm.yaml", "At what moisture is wheat safe?", "--explain")
    assert result.code == 0
    assert "[bold red]Wheat safe[/bold red] [/] at 14 percent, [link=x]see[/link]." in result.out


def test_a_stage_that_fails(farm, ragkit):
    result = ragkit("ask", "farm.yaml", "Who invented the plough?", "--set", "models.reader.default=null")
    assert result.code == 1
    assert result.out.startswith("failed in answer.read: RagkitError: no rule of the scripted model fits the prompt")
    assert "Traceback" not in result.out + result.err


def test_a_budget_that_ends_the_question(farm, ragkit):
    result = ragkit("ask", "farm.yaml", "At what moisture is wheat safe?", "--set", "run.budget.searches=0")
    assert result.code == 0
    assert result.out.startswith("ended early: budget:searches\n")


def test_documents_that_are_not_there(farm, ragkit):
    result = ragkit("ask", "farm.yaml", "Why?", "--set", "index.documents=[nowhere/*.pdf]")
    assert result.code == 2
    assert "'nowhere/*.pdf' matches no file" in result.err
    assert result.out == ""


def test_a_question_is_needed(farm, ragkit):
    result = ragkit("ask", "farm.yaml")
    assert result.code == 2
    assert "Missing argument" in result.err
