//! A function that cannot be started costs its events no retries.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::kit::*;

#[tokio::test(start_paused = true)]
async fn events_wait_for_a_function_that_cannot_be_loaded_and_lose_no_retries() {
    let kit = Kit::new(1).await;
    kit.script.is_broken.store(true, Ordering::SeqCst);
    let names: Vec<String> = (0..60).map(|n| format!("e{n:02}")).collect();
    let records: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    kit.write(&records).await;
    tokio::time::sleep(Duration::from_secs(1_800)).await;
    let counts = kit.metrics.of("receipt").deliveries;
    assert_eq!((counts.held.get(), counts.trips.get()), (1, 1));
    assert!(kit.script.taken().is_empty());
    assert!(
        kit.letters().await.is_empty(),
        "two failures would have been the end of an event"
    );
    // Those that were under way when the breaker opened, and half an hour of probes.
    let begun = kit.script.begun().len();
    assert!((CONCURRENCY + 60..400).contains(&begun), "{begun} attempts");

    kit.script.is_broken.store(false, Ordering::SeqCst);
    let mut taken = kit.until_taken(60).await;
    taken.sort();
    assert_eq!(taken, names);
    kit.until(async |_| counts.held.get() == 0).await;
    assert!(kit.letters().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_function_that_sees_its_events_and_fails_is_not_held_back() {
    let kit = Kit::new(2).await;
    kit.script.fail_all.store(true, Ordering::SeqCst);
    let names: Vec<String> = (0..20).map(|n| format!("e{n}")).collect();
    let records: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    kit.write(&records).await;
    kit.until(async |kit| kit.letters().await.len() == 20).await;
    assert_eq!(kit.metrics.of("receipt").deliveries.trips.get(), 0);
    assert_eq!(kit.script.begun().len(), 60, "each event had its three attempts");
}
