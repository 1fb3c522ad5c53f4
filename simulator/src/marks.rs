//! Coverage marks: situations that a run must have met at least once, counted where they happen.
//!
//! "What is buggy here is not the database but the simulator" is the usual way to miss a bug: a checker that never saw
//! the case. So each case has a mark, and a mark with no hits over a big run fails that run.

use std::fmt::Write as _;

use holdfast_contracts::decision::{HoldState, Reason};

macro_rules! marks {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A situation worth meeting.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each name is a sentence; those that are not have a line of their own")]
        pub enum Mark {
            $($(#[$doc])* $name,)*
        }

        impl Mark {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

marks! {
    // Time.
    ClockSuspectByStep,
    ClockSuspectByTick,
    ClockTrustedByTicks,
    ClockTrustedBecauseOddTimeWasForgotten,
    /// A step that would have been forgotten stays suspect because a tick disagreed since.
    OddTimeNotForgottenAfterDisagreement,
    SaneTicksCountedFromZeroAgain,
    DeadlinesShiftedBySuspicion,
    AppendTimeWentBack,
    StepExactlyAtTheLimit,
    StepOneAboveTheLimit,
    AppendTimeBeforeItsYears,
    AppendTimeAfterItsYears,
    TickExactlyAtTolerance,
    TickOneBeyondTolerance,
    LogTimeMovedByTickWithinARecord,
    // Reserve.
    GrantedSeveralLines,
    GrantedInPart,
    GrantedWithAnEmptyLine,
    LinesOfOneSkuAddedUp,
    SameSkuUnderTwoIndexes,
    TookTheLastUnit,
    ExactlyAtCustomerLimit,
    ExactlyAtReservationLimit,
    JoinedTheLine,
    SoldOutThenReturnedThenSold,
    ReserveWhileLineNeedsService,
    CustomerLimitZeroLeftAfterLoweredTerms,
    OpensExactlyNow,
    ClosesExactlyNow,
    // Ids.
    ReplayOfGrant,
    ReplayOfGrantAfterItsEnd,
    ReplayOfWaiting,
    ReplayOfWaitingAfterOffer,
    ReplayOfRefusal,
    ReplayWithCappedValue,
    ReplayOfStockChange,
    ReplayOfStockRefusal,
    ReplayOfSaleDefinition,
    ReplayOfSaleRefusal,
    ReplayOfExtension,
    ReplayOfExtensionAfterTheEnd,
    ReplayOfExtensionOfForgottenReservation,
    ReplayOfExtensionRefusal,
    ReplayAcrossGenerations,
    ReplayInTheLastGeneration,
    ReplayBecauseStillLive,
    ReplayBecauseConfirmedInOpenSale,
    ForgottenIdDecidedAfresh,
    IdReusedForOtherContent,
    IdReusedForOtherKind,
    SeveralGenerationsPassedAtOnce,
    // Commands on a reservation.
    /// A confirm at the very millisecond of the deadline, which loses.
    ConfirmAtTheDeadline,
    /// A confirm one millisecond before the deadline, which wins.
    ConfirmOneBeforeTheDeadline,
    DueHoldCountsAsExpired,
    DueWaitingStillWaits,
    ForeignCustomerRefused,
    SystemMovedAReservation,
    PaymentWindowCutByTotalLife,
    PaymentKeepsALaterDeadline,
    ExtendedExactlyToTotalLife,
    ExtendRefusedByCount,
    ExtendRefusedByTotalLife,
    OfferConfirmed,
    OfferReleased,
    OfferExpired,
    PaidOffer,
    ReacquiredAfterRelease,
    ReacquiredAfterExpiry,
    ReacquireExpiresADueHoldFirst,
    ReacquireFailedSaleChanged,
    ReacquireFailedSaleNotOpen,
    ReacquireFailedCustomerLimit,
    ReacquireFailedLineWaits,
    ReacquireFailedNoStock,
    ReacquireOfOneThatEndedWaiting,
    // Work and the line.
    WorkCarriedOver,
    SeveralExpiriesInOneRecord,
    ExpiryTieBrokenByPosition,
    ExpiredExactlyAtDeadline,
    ExpiredLate,
    WaitEndedByItsDeadline,
    OfferMadeByExpiry,
    OfferMadeByRelease,
    OfferMadeByStock,
    OfferMadeByOpening,
    OfferMadeByTerms,
    OfferMadeByRules,
    OfferMadeBecauseSomebodyLeft,
    OfferMadeFromTheList,
    LineWentToTheList,
    LineWentBackToTheList,
    LineOnTheListNeededNothing,
    SkippedInLineUnderRules2,
    FirstInLineTooBigUnderRules1,
    NobodyFitsUnderRules2,
    FitBeyondTheLeading64,
    ClosedSaleEndedAWait,
    ClosedSaleWaitsCarriedOver,
    // Stock.
    StockSetExactlyToPromised,
    ExpectedStockWasRight,
    ForcedCut,
    ForcedCutListsSeveral,
    ForcedCutListIsFull,
    ShortfallTakesReturnedUnits,
    ShortfallTakesPartOfReturnedUnits,
    ShortfallTakesDelivery,
    ShortfallErasedBySet,
    AdjustedToNothing,
    SetAside,
    SetAsideBack,
    // Sales.
    SkuCreatedByStock,
    SkuCreatedBySale,
    SaleOpened,
    SaleResumed,
    SaleStateUnchanged,
    TermsChanged,
    SkuLeftASale,
    SkuCameFromAClosedSale,
    SkuCameBackWithFreshAccounts,
    OldSalesHoldReturned,
    SaleFrozen,
    FrozenDeadlinePassed,
    FreezeEndedByOpening,
    FreezeEndedByClosing,
    // Rules.
    RulesOneActivated,
    RulesTwoActivated,
    WindowTooSmallCountsAsFour,
    WorkLimitChanged,
    StoppedByRulesVersion,
    StoppedByLogId,
    // Records.
    Malformed,
    MalformedRecordStillDoesWork,
    SilentRecord,
    BatchOfSeveral,
    // Control commands.
    ControlWithCode,
    /// The genuine command with an id that a forged one has used.
    ControlTakenThatWasRefusedBefore,
    BuyerDecidedBesideRefusedControl,
    TickRefused,
    NotStoppedByARefusedTick,
    NotStoppedByRefusedRules,
}

/// The four commands on a reservation, the columns of the table in `docs/rules.md` §4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// The buyer has gone to pay.
    BeginPayment,
    /// Sell.
    Confirm,
    /// Give back.
    Release,
    /// Move the deadline.
    Extend,
}

impl Verb {
    const ALL: [Self; 4] = [Self::BeginPayment, Self::Confirm, Self::Release, Self::Extend];
}

const STATES: [HoldState; 6] = [
    HoldState::Held,
    HoldState::Paying,
    HoldState::Confirmed,
    HoldState::Released,
    HoldState::Expired,
    HoldState::Waiting,
];

/// How often each situation was met.
#[derive(Debug, Clone)]
pub struct Marks {
    named: Vec<u64>,
    cells: [[u64; STATES.len()]; Verb::ALL.len()],
    refused: [u64; Reason::ALL.len()],
}

impl Default for Marks {
    fn default() -> Self {
        Self { named: vec![0; Mark::ALL.len()], cells: Default::default(), refused: Default::default() }
    }
}

impl Marks {
    /// Counts one hit.
    pub fn hit(&mut self, mark: Mark) {
        self.named[mark as usize] += 1;
    }

    /// Counts one hit if it is so.
    pub fn hit_if(&mut self, is_so: bool, mark: Mark) {
        if is_so {
            self.hit(mark);
        }
    }

    /// Counts a cell of the table of commands on a reservation.
    pub fn hit_cell(&mut self, verb: Verb, state: HoldState) {
        self.cells[verb as usize][state as usize - 1] += 1;
    }

    /// Counts a refusal.
    pub fn hit_refusal(&mut self, reason: Reason) {
        self.refused[reason as usize - 1] += 1;
    }

    /// Hits of one mark.
    #[must_use]
    pub fn count(&self, mark: Mark) -> u64 {
        self.named[mark as usize]
    }

    /// Adds what another run has met.
    pub fn add(&mut self, other: &Self) {
        for (mine, its) in self.counts_mut().zip(other.counts()) {
            *mine += its;
        }
    }

    /// Every mark with its name and hits, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (String, u64)> + use<'_> {
        let named = Mark::ALL.iter().map(|mark| (format!("{mark:?}"), self.count(*mark)));
        let cells = Verb::ALL.iter().flat_map(move |verb| {
            STATES.iter().map(move |state| {
                (format!("{verb:?} when {}", state.name()), self.cells[*verb as usize][*state as usize - 1])
            })
        });
        let refused = Reason::ALL
            .iter()
            .map(|reason| (format!("refused: {reason:?}"), self.refused[*reason as usize - 1]));
        named.chain(cells).chain(refused)
    }

    /// Names of the marks that were never hit.
    ///
    /// `Full` is not asked for: nobody fills 268,435,456 ids in a simulation.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let full = format!("refused: {:?}", Reason::Full);
        self.iter().filter(|(name, hits)| *hits == 0 && *name != full).map(|(name, _)| name).collect()
    }

    /// All marks, one per line, rarest first.
    #[must_use]
    pub fn table(&self) -> String {
        let mut rows: Vec<_> = self.iter().map(|(name, hits)| (hits, name)).collect();
        rows.sort();
        rows.iter().fold(String::new(), |mut text, (hits, name)| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{hits:>12}  {name}");
            text
        })
    }

    fn counts(&self) -> impl Iterator<Item = u64> + use<'_> {
        self.named.iter().chain(self.cells.as_flattened()).chain(&self.refused).copied()
    }

    fn counts_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        self.named.iter_mut().chain(self.cells.as_flattened_mut()).chain(&mut self.refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_without_hits_is_missing() {
        let mut marks = Marks::default();
        assert_eq!(marks.missing().len(), Mark::ALL.len() + 24 + Reason::ALL.len() - 1);
        marks.hit(Mark::SaleFrozen);
        marks.hit_cell(Verb::Release, HoldState::Waiting);
        marks.hit_refusal(Reason::SaleState);
        let missing = marks.missing();
        assert_eq!(missing.len(), Mark::ALL.len() + 24 + Reason::ALL.len() - 4);
        assert!(!missing.contains(&"Release when waiting".to_owned()));
        let mut sum = marks.clone();
        sum.add(&marks);
        assert_eq!(sum.count(Mark::SaleFrozen), 2);
    }
}
