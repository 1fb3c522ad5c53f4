//! Hand-made cases for every section of the rules page. Each is a sentence of the page, played out, with the model and with
//! the real machine, which is restored from its own checkpoint after every record.

mod clock;
mod control;
mod extend;
mod holds;
mod ids;
mod line;
mod order;
mod reserve;
mod sales;
mod script;
mod stock;
mod work;
