//! Tests of the world.
use super::*;
#[test]
fn debug_case() {
    let text = std::fs::read_to_string("/tmp/case.world").unwrap();
    let case = WorldCase::from_text(&text).unwrap();
    let mut w = World::new(&case.setup, Canary::None);
    for a in &case.actions {
        println!("{}", a.to_line().chars().take(100).collect::<String>());
        if let Err(e) = w.apply(a) {
            println!("{e}");
            for d in &w.disks {
                use holdfast_engine::{CheckpointStore, Machine, Restoring};
                let mut r = build::Build::restore(&w.hosts[0].setup.build(&w.setup));
                let mut s = d.store();
                println!("waiting {} {:?}", d.waiting(), d.anchor());
                let x = s.load(&mut |k, n, b| {
                    println!("page {k} {n:x} {}", b.len());
                    r.page(k, n, b)
                });
                println!("{x:?}");
                println!("{:?}", r.finish().map(|m| m.digest()));
            }
            return;
        }
        for (n, h) in w.hosts.iter().enumerate() {
            if let Some(k) = &h.worker {
                println!(
                    "   host {n} {:?} next {} unack {} out {}",
                    k.role(),
                    k.next_offset(),
                    k.outputs_unacknowledged(),
                    k.out_seq()
                );
            }
        }
    }
    let r = w.heal();
    println!("{r:?}");
    for t in &w.truths {
        for (n, c) in t.commands().iter().enumerate() {
            let rec = crate::record::Record { append_time_ms: c.append_time.0, payload: c.payload.to_vec() };
            println!("{n} {} {:?}", c.append_time, rec.described());
        }
        println!("T {:?} suspect {}", t.model().log_time_ms(), t.model().clock_is_suspect());
    }
}
