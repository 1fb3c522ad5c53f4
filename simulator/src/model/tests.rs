//! Hand-made cases for every section of the rules page. Each is a sentence of the page, played out.

mod clock;
mod extend;
mod holds;
mod ids;
mod line;
mod reserve;
mod sales;
mod script;
mod stock;
mod work;
