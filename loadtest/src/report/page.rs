//! Pages that need nothing but themselves: style, script and figures stand in the one file.

use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior, context};
use serde::Serialize;

use super::charts::{self, Chart};
use super::view::View;
use super::{ReportError, hdr};
use crate::results::{FaultMark, Operation, Results};

/// The policy that forbids the page to fetch anything, and a script that hears of errors before there are any.
const HEAD: &str = include_str!("../../assets/report/head.html");
const STYLE: &str = concat!(
    include_str!("../../assets/uplot/uPlot.min.css"),
    "\n",
    include_str!("../../assets/report/page.css")
);
// Its licence goes wherever it goes.
const UPLOT: &str = concat!(
    "/*\n",
    include_str!("../../assets/uplot/LICENSE"),
    "*/\n",
    include_str!("../../assets/uplot/uPlot.iife.min.js")
);
const SCRIPT: &str = include_str!("../../assets/report/page.js");

/// Which page.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Page {
    /// One run.
    Run,
    /// Two runs beside each other.
    Comparison,
}

impl Page {
    const fn template(self) -> (&'static str, &'static str) {
        match self {
            Self::Run => ("run.html", include_str!("../../assets/report/run.html")),
            Self::Comparison => ("compare.html", include_str!("../../assets/report/compare.html")),
        }
    }
}

/// The whole report of a run as one HTML page.
///
/// The page needs no network and asks for none. It shows what results say and escapes it, so names in them may be anything.
/// When its script has run, `<html>` tells so: `data-charts` how many charts were drawn, `data-points` of how many values,
/// `data-marks` with how many marks of faults, and `data-errors` what went wrong, if anything did.
///
/// # Errors
/// [`ReportError::Histogram`] if a histogram of the results cannot be read.
pub fn html(results: &Results) -> Result<String, ReportError> {
    let charts = match results.operations.iter().find(|it| it.name == "all") {
        Some(all) => {
            let read = |text: &str| decode(all, text);
            charts::of_run(results, &read(&all.felt_histogram)?, &read(&all.took_histogram)?)
        }
        None => Vec::new(),
    };
    let time: Vec<u64> = results.seconds.iter().map(|it| it.second).collect();
    render(Page::Run, &View::of(results), &time, &charts, &results.faults)
}

/// A histogram of an operation.
pub(crate) fn decode(operation: &Operation, text: &str) -> Result<hdrhistogram::Histogram<u64>, ReportError> {
    hdr::decode(text).map_err(|source| ReportError::Histogram { operation: operation.name.clone(), source })
}

/// What the script of a page reads.
#[derive(Serialize)]
struct Data<'a> {
    time: &'a [u64],
    faults: &'a [FaultMark],
    charts: &'a [Chart],
}

/// Makes a page of what its template needs, and of what its script needs.
pub(crate) fn render(
    page: Page,
    view: &impl Serialize,
    time: &[u64],
    charts: &[Chart],
    faults: &[FaultMark],
) -> Result<String, ReportError> {
    let data = serde_json::to_string(&Data { time, faults, charts }).map_err(ReportError::WriteJson)?;
    let titles: Vec<_> = charts.iter().map(|it| (it.id, (it.title, &it.caption))).collect();
    let (name, text) = page.template();
    let mut environment = Environment::new();
    // A misspelt name in a template is a fault of ours and must not become an empty cell.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let safe = |text: &str| Value::from_safe_string(text.to_owned());
    let given = context! {
        head => safe(HEAD),
        style => safe(STYLE),
        uplot => safe(UPLOT),
        script => safe(SCRIPT),
        data => safe(&for_script(&data)),
        charts => Serde(titles),
        view => Serde(view),
    };
    environment
        .add_template(name, text)
        .and_then(|()| environment.get_template(name)?.render(given))
        .map_err(ReportError::Page)
}

/// JSON that may stand inside a script element: nothing in it can end the element, or begin a comment in it. These signs
/// stand only within strings, where their numbers mean the same.
fn for_script(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_cannot_leave_their_element() {
        let hostile = "</script><!--<script>&";
        let written = for_script(&serde_json::to_string(hostile).unwrap());
        assert!(!written.contains(['<', '>', '&']), "{written}");
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), hostile);
    }
}
