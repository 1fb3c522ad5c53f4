//! The report in a browser.

use std::fs;
use std::path::PathBuf;

use holdfast_loadtest::report;
use holdfast_loadtest::results::Results;

use super::browser::{PICTURES, Page, number, told};
use super::sample;

/// All charts of a run.
const CHARTS: u64 = 8;
/// Those over time, on which faults are marked.
const CHARTS_OVER_TIME: u64 = 7;

fn dom(results: &Results) -> String {
    let html = report::html(results).unwrap();
    // As if somebody had asked for every table.
    let open =
        "<script>document.querySelectorAll('details').forEach((it) => { it.open = true; });</script></body>";
    let dom = Page::new(&html.replace("</body>", open)).dom();
    assert_eq!(told(&dom, "errors"), None);
    dom
}

fn count(text: &str, what: &str) -> u64 {
    text.matches(what).count() as u64
}

#[test]
fn every_chart_is_drawn_with_its_faults_and_its_table() {
    let results = sample::herd();
    let dom = dom(&results);
    assert_eq!(number(&dom, "charts"), CHARTS);
    assert_eq!(number(&dom, "marks"), CHARTS_OVER_TIME * results.faults.len() as u64);
    // 4 + 3 + 4 + 3 + 1 + 1 + 1 columns over time, and two curves of 5 digits.
    assert!(number(&dom, "points") > 17 * 20 + 2 * 80, "{}", number(&dom, "points"));
    assert_eq!(count(&dom, "<canvas"), CHARTS);
    let tables = dom.split("<figure").skip(1).map(|it| it.split("</figure>").next().unwrap());
    for figure in tables {
        assert!(count(figure, "<tr>") > 20, "a chart without its table: {}", &figure[..200]);
    }
    assert!(dom.contains("kill -9 the sequencer"));
    assert!(dom.contains("<h2>Pass</h2>"));
}

#[test]
fn a_broken_rule_is_said_first_and_in_words() {
    let dom = dom(&sample::oversold());
    let verdict = dom.find("<h2>Wrong</h2>").unwrap();
    let rule = dom.find("Broken rule: oversold").unwrap();
    let missed = dom.find("Threshold: error_rate&lt;0.02").unwrap();
    let limit = dom.find("The generator was the limit").unwrap();
    let charts = dom.find("<figure").unwrap();
    assert!(verdict < rule && rule < missed && missed < limit && limit < charts);
    assert!(dom.contains("and 1 more"), "two of three faults have an example");
}

#[test]
fn a_hostile_name_is_text() {
    let hostile = "</script><b id=escaped>\"'&<!--<script>document.documentElement.dataset.errors=1</script>";
    let mut results = sample::herd();
    for text in [&mut results.scenario, &mut results.about, &mut results.target, &mut results.faults[0].what]
    {
        hostile.clone_into(text);
    }
    results.skus[0].sku = hostile.into();
    results.checks[0].examples = vec![hostile.into()];
    results.checks[0].faults = 1;
    results.operations[1].name = hostile.into();
    let second = &mut results.seconds[3];
    second.statuses.insert(hostile.into(), 5);

    let dom = dom(&results);
    assert!(!dom.contains("<b id="), "a name has become an element");
    assert!(dom.contains("<h1>&lt;/script&gt;&lt;b id=escaped&gt;"));
    assert_eq!(number(&dom, "charts"), CHARTS);
    assert_eq!(number(&dom, "marks"), CHARTS_OVER_TIME * 2);
}

#[test]
fn an_hour_and_a_moment_are_drawn_too() {
    let hour = report::html(&sample::of_length(3_600)).unwrap();
    assert!(hour.len() < 2_000_000, "{} bytes for an hour", hour.len());
    let dom = Page::new(&hour).dom();
    assert_eq!((told(&dom, "errors"), number(&dom, "charts")), (None, CHARTS));
    assert!(number(&dom, "points") > 17 * 3_600);

    let mut nothing = sample::of_length(1);
    nothing.faults.clear();
    nothing.seconds.clear();
    nothing.operations.clear();
    nothing.skus.clear();
    let dom = Page::new(&report::html(&nothing).unwrap()).dom();
    assert_eq!((told(&dom, "errors"), number(&dom, "charts")), (None, 0));
}

#[test]
fn the_page_fetches_nothing() {
    let html = report::html(&sample::herd()).unwrap();
    assert!(html.contains("default-src 'none'"));
    for address in [" src=", " href=", "url(", "@import", "fetch(", "XMLHttpRequest", "<link", "<iframe"] {
        assert!(!html.contains(address), "the page has {address}");
    }
}

#[test]
fn it_can_be_photographed() {
    let temporary = tempfile::tempdir().unwrap();
    let place = std::env::var_os(PICTURES).map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let html = report::html(&sample::herd()).unwrap();
    fs::write(place.join("report.html"), &html).unwrap();
    fs::write(place.join("oversold.html"), report::html(&sample::oversold()).unwrap()).unwrap();
    fs::write(place.join("hour.html"), report::html(&sample::of_length(3_600)).unwrap()).unwrap();
    let file = place.join("report.png");
    Page::new(&html).screenshot(&file, 1400, 1600);
    let picture = fs::read(&file).unwrap();
    assert!(picture.starts_with(b"\x89PNG"));
    // Width and height stand behind the name of the first chunk.
    assert_eq!(picture[16..24], [0, 0, 5, 120, 0, 0, 6, 64]);
}
