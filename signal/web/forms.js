// Forms that say beside each field what is wrong with it, before they are sent; and passwords that can be looked at.
//
// What a field allows is in its own attributes. What it is called in a sentence is in `data-called`; an element
// `<id>-problem` beside it has the words.

const words = {
  valueMissing: ({ dataset }) => `Please give ${dataset.called}.`,
  tooLong: ({ dataset, maxLength }) => `${capital(dataset.called)} has more than ${maxLength} characters.`,
  badInput: ({ dataset }) => `${capital(dataset.called)} is a whole number, 0 for no limit.`,
  stepMismatch: ({ dataset }) => `${capital(dataset.called)} is a whole number, 0 for no limit.`,
  rangeUnderflow: ({ dataset, min }) => `${capital(dataset.called)} is not below ${min}; 0 is no limit.`,
  rangeOverflow: ({ dataset, max }) => `${capital(dataset.called)} is at most ${max}; 0 is no limit.`,
  customError: ({ validationMessage }) => validationMessage,
};

const capital = (text) => text[0].toUpperCase() + text.slice(1);

/** Shows `problem` beside the field, or nothing when it is "". */
export function showProblem(field, problem) {
  const place = document.querySelector(`#${field.id}-problem`);
  place.textContent = problem;
  place.hidden = problem === "";
  field.setAttribute("aria-invalid", String(problem !== ""));
}

function problemOf(field) {
  const wrong = Object.keys(words).find((kind) => field.validity[kind]);
  return wrong ? words[wrong](field) : "";
}

/** Checks the fields when the form is sent, and each that was wrong again while it is put right. */
export function check(form) {
  // Without this page's help the browser's own words would be better than none.
  form.noValidate = true;
  const fields = [...form.querySelectorAll("[data-called]")];
  form.addEventListener("submit", (event) => {
    for (const field of fields) showProblem(field, problemOf(field));
    const wrong = fields.find((field) => !field.validity.valid);
    if (!wrong) return;
    event.preventDefault();
    const folded = wrong.closest("details");
    if (folded) folded.open = true;
    wrong.focus();
  });
  for (const field of fields) {
    const again = () => field.getAttribute("aria-invalid") === "true" && showProblem(field, problemOf(field));
    field.addEventListener("input", again);
    field.addEventListener("change", () => field.value && showProblem(field, problemOf(field)));
  }
}

/** A button beside each password shows what has been typed. */
export function letPasswordsBeSeen() {
  for (const button of document.querySelectorAll(".reveal")) {
    const field = document.querySelector(`#${button.getAttribute("aria-controls")}`);
    button.hidden = false;
    button.addEventListener("click", () => {
      const shown = field.type === "password";
      field.type = shown ? "text" : "password";
      button.setAttribute("aria-pressed", String(shown));
    });
    // A browser keeps passwords, not text.
    field.form.addEventListener("submit", () => (field.type = "password"));
  }
}

for (const form of document.querySelectorAll("form[data-checked]")) check(form);
letPasswordsBeSeen();
