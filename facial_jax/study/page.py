"""The page of a user study: static, without a server; answers leave it as a CSV file."""

import html
import json
from collections.abc import Sequence

RATINGS = (-2, -1, 0, 1, 2)
_RATING_WORDS = {-2: "very bad", 0: "neither", 2: "very good"}

_STYLE = """
body { font: 16px/1.45 system-ui, sans-serif; max-width: 900px; margin: 1.5em auto; padding: 0 1em }
.clips { display: flex; flex-wrap: wrap; gap: 1em }
.clips figure { flex: 1 1 280px; margin: 0; min-width: 0 }
video { width: 100%; max-height: 60vh; background: #000 }
fieldset { border: 0; padding: 0; margin: 0.8em 0; display: flex; flex-wrap: wrap; gap: 0.3em 1em }
legend { font-weight: 600; padding: 0 } label { white-space: nowrap } small { color: #555 }
button { font: inherit; padding: 0.4em 1.2em } [hidden] { display: none }
"""

_SCRIPT = r"""
const study = JSON.parse(document.getElementById("study").textContent);
const part = name => document.getElementById(name);
const shuffled = list => {
  const found = [...list];
  for (let i = found.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [found[i], found[j]] = [found[j], found[i]];
  }
  return found;
};
const participant = crypto.getRandomValues(new Uint32Array(2))
  .reduce((text, x) => text + x.toString(36).padStart(7, "0"), "");
const trials = shuffled(study.trials).map(clips => shuffled(clips));
const rows = [["participant", "order", "first", "second", "question", "answer", "seconds"]];
let current = -1;
let since = 0;

const show = () => {
  current += 1;
  since = Date.now();
  part("start").hidden = true;
  if (current === trials.length) { finish(); return; }
  part("trial").hidden = false;
  part("place").textContent = `${current + 1} of ${trials.length}`;
  part("clips").replaceChildren(...trials[current].map(clip => {
    const figure = document.createElement("figure");
    const video = document.createElement("video");
    Object.assign(video, { src: clip, controls: true, playsInline: true });
    figure.append(video);
    return figure;
  }));
  part("questions").reset();
};

const finish = () => {
  part("trial").hidden = true;
  part("end").hidden = false;
  const text = rows.map(row => row.map(x => `"${String(x).replaceAll('"', '""')}"`).join(","));
  const file = new Blob([text.join("\n") + "\n"], { type: "text/csv" });
  const link = part("save");
  link.href = URL.createObjectURL(file);
  link.download = `answers_${participant}.csv`;
};

part("begin").onclick = show;
part("questions").onsubmit = event => {
  event.preventDefault();
  const seconds = ((Date.now() - since) / 1000).toFixed(1);
  const [first, second = ""] = trials[current];
  new FormData(part("questions")).forEach((answer, question) => {
    rows.push([participant, current + 1, first, second, question, answer, seconds]);
  });
  show();
};
"""


def study_page(
    title: str, trials: Sequence[Sequence[str]], questions: Sequence[str], *, pairs: bool
) -> str:
    """The page.

    Trials come in random order, another one for every participant, as do the two clips of a pair.
    Nothing in the page says how a clip was made.

    Args:
        title: above it.
        trials: the files of one clip each, or of two.
        questions: of which each is answered from −2 to 2, or of pairs by which of the two.
        pairs: whether trials are pairs.
    """
    data = json.dumps({"trials": trials}).replace("<", "\\u003c")
    fields = "".join(_question(text, pairs) for text in questions)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style><h1>{_text(title)}</h1>"
        "<div id=start><p>You will see "
        f"{len(trials)} {'pairs of videos' if pairs else 'videos'}. Watch each to its end, with "
        "sound, then answer. At the end you save your answers as a file and send it to whoever "
        "asked you. Nothing is sent by this page.</p><button id=begin>begin</button></div>"
        "<div id=trial hidden><p id=place></p><div class=clips id=clips></div>"
        f"<form id=questions>{fields}<button id=next>next</button></form></div>"
        "<div id=end hidden><p>Thank you.</p><a id=save>save the answers</a></div>"
        f'<script type="application/json" id=study>{data}</script><script>{_SCRIPT}</script></html>'
    )


def _question(text: str, pairs: bool) -> str:
    choices = {"first": "the first", "second": "the second"} if pairs else _rating_choices()
    buttons = "".join(
        f'<label><input type=radio name="{_text(text)}" value="{value}" required> {words}</label>'
        for value, words in choices.items()
    )
    return f"<fieldset><legend>{_text(text)}</legend>{buttons}</fieldset>"


def _rating_choices() -> dict[int, str]:
    words = {value: f" <small>{text}</small>" for value, text in _RATING_WORDS.items()}
    return {x: (f"{x:+d}" if x else "0") + words.get(x, "") for x in RATINGS}


def _text(value: str) -> str:
    return html.escape(value)
