//! Planted defects: each one the kind of mistake the platform could be making.
//! The rules are worth something only as long as they find every one of them.

/// One defect, switched on for a whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// A DEA takes a repeated start message for a wish for a second instance.
    StartsAreNotIdempotent,
    /// The health manager adds a heartbeat to what it knew instead of replacing it.
    HeartbeatIsPartial,
    /// The health manager does not notice that its own bus connection is gone, and judges on.
    OwnOutageUnnoticed,
    /// Rows of an abandoned fetch are taken for the whole desired state.
    TornFetchIsBelieved,
    /// The controller carries out `hm9000.stop` by index, whatever the version and instance.
    StopIgnoresVersion,
    /// Surplus indices are never stopped by the health manager.
    ExtraNeverStopped,
    /// Of several instances at one index all stay.
    DuplicatesNeverStopped,
    /// All of several instances at one index go.
    DuplicatesAllStopped,
    /// Instances of an older version stay for ever.
    OldVersionNeverStopped,
    /// Instances of an older version go before the new one serves.
    OldVersionStoppedAtOnce,
    /// `dea.update` carries the version, and a DEA relabels what runs: the old code is taken for the new.
    /// Not invented: the product did exactly this when the simulator was written.
    UpdateRelabels,
    /// The controller never gives up on a start message that was lost.
    ClaimNeverExpires,
    /// A crashed instance is reported as running.
    CrashReportedAsRunning,
    /// A restarted DEA does not look for what it left running.
    ResumeForgets,
    /// A restarted DEA does not finish the stops that were under way.
    ResumeForgetsStops,
    /// Scaling down stops the lowest indices.
    ScaleDownStopsLowest,
    /// A stop without any instance listed is taken for a stop of everything.
    EmptyScaleStopsAll,
}

/// All of them.
pub const ALL: [Flaw; 17] = [
    Flaw::StartsAreNotIdempotent,
    Flaw::HeartbeatIsPartial,
    Flaw::OwnOutageUnnoticed,
    Flaw::TornFetchIsBelieved,
    Flaw::StopIgnoresVersion,
    Flaw::ExtraNeverStopped,
    Flaw::DuplicatesNeverStopped,
    Flaw::DuplicatesAllStopped,
    Flaw::OldVersionNeverStopped,
    Flaw::OldVersionStoppedAtOnce,
    Flaw::UpdateRelabels,
    Flaw::ClaimNeverExpires,
    Flaw::CrashReportedAsRunning,
    Flaw::ResumeForgets,
    Flaw::ResumeForgetsStops,
    Flaw::ScaleDownStopsLowest,
    Flaw::EmptyScaleStopsAll,
];
