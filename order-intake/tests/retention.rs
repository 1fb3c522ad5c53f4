//! The log forgets no decision that the intake has not read.

mod kit;

use holdfast_contracts::PartitionId;
use holdfast_log::StreamId;
use kit::{Server, line, wait_for};

#[test]
fn every_thread_of_the_intake_enters_as_a_reader_and_moves_on() {
    let server = Server::start();
    server.sale("A1", 3, "");
    let body = line("A1", 1);
    server.buyer("one").reserve("k", &body).expect(201);
    let decisions = StreamId::inventory_decisions(PartitionId(0));
    let readers = server.sequencer.readers();
    wait_for("all threads to have read everything", || {
        let end = server.log.watermarks(decisions).end;
        (end.0 > 0 && readers.lowest(decisions) == Some(end)).then_some(())
    });
    server.intake.shutdown(kit::PATIENCE);
    assert_eq!(readers.lowest(decisions), None, "who reads no more holds nothing up");
}
