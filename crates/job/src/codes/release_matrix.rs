//! The codes of a matrix of releases. RM10 what keeps it from being used, RM11 what speaks against an upgrade, RM2 what should be known.

crate::codes! {
    /// All of them, for `explain`.
    pub list CODES;
    pub INVALID = "RM101", Usage, "The matrix cannot be used",
        "The file is not one document of kind ReleaseMatrix, a field is unknown or has the wrong type, or the file contradicts itself.",
        "Correct what the message names. `kubectl fairlead matrix import CHANGELOG.md` writes a matrix to begin with.";
    pub UNKNOWN = "RM102", Usage, "The matrix does not have this release",
        "A plan goes from one release of the matrix to another one.",
        "Name a release that the message lists, or add the release to `spec.releases`.";
    pub NO_CHANGELOG = "RM103", Usage, "The changelog cannot be read",
        "The file is not Markdown, or no heading in it is a version such as 1.2.3.",
        "Give each release a heading with its version, and below it `Supported API Versions:` and `DB Schema Version:`.";
    pub NO_WAY = "RM104", Refused, "No safe sequence of upgrades leads there",
        "Every way includes at least one upgrade that would cause errors or, by default, one that cannot be rolled back. The message names the smallest step in the way.",
        "Correct the matrix if it is wrong. If the code is right, insert a release that both sides tolerate, or run the command that the message ends with.";
    pub BACKWARDS = "RM105", Refused, "The target release is older than the current one",
        "A plan goes forward. Helm goes back to a revision that it has recorded.",
        "`kubectl fairlead status RELEASE -n NAMESPACE` prints the `helm rollback` that is possible now.";
    pub NO_CHART = "RM106", Usage, "The matrix does not name the chart",
        "A complete `helm upgrade` names the release and the chart.",
        "Write `spec.chart: {release: …, reference: …}` into the matrix.";
    pub NO_COMMON_VERSION = "RM111", Refused, "The two releases serve no common version of an API",
        "While pods are replaced, pods of both releases answer. A client that uses a version of one release gets errors from the other.",
        "Stop at a release that serves versions of both.";
    pub OLD_PODS = "RM112", Refused, "Pods of the old release would run on a schema that they do not tolerate",
        "A migration changes the schema while pods of the old release run.",
        "Stop at a release that tolerates the schema. If the old release does tolerate it, say so in `tolerates`, `writes` or `uses`.";
    pub NEW_PODS = "RM113", Refused, "Pods of the new release would start on a schema that they do not tolerate",
        "The new pods start after the expansions and before the contractions.",
        "Stop at a release that tolerates the schema, or correct `tolerates` of the new release.";
    pub EXPAND_AFTER_CONTRACT = "RM114", Refused, "One upgrade would contract the schema and then expand it",
        "Contractions run after the old pods are gone, expansions before the new ones start. One upgrade cannot do both in this order.",
        "Stop at a release between the two migrations.";
    pub STOP_SKIPPED = "RM115", Refused, "The upgrade skips a required stop",
        "`spec.stops` names releases that every upgrade has to run.",
        "Upgrade to the stop first.";
    pub BLOCKED = "RM116", Refused, "The upgrade is blocked",
        "`spec.blocked` names this upgrade, with the reason in the message.",
        "Follow the URL of the entry, or take another way.";
    pub OLDER_SCHEMA = "RM117", Refused, "The newer release brings an older schema",
        "A release that was made for an older branch can have a higher number than its schema suggests.",
        "Choose a release whose schema is not older. If the matrix is wrong, correct `schema` of the release.";
    pub NO_WAY_BACK = "RM118", Refused, "The old release does not run on the new schema",
        "After the contraction `helm rollback` would start pods that fail.",
        "Stop at a release that tolerates both schemas, or accept the point of no return with --allow-point-of-no-return.";
    pub DATA_LOST = "RM119", Refused, "A migration loses data",
        "The schema version says `irreversible`: undoing it does not bring the data back.",
        "Make a backup, and accept the point of no return with --allow-point-of-no-return.";
    pub INCOMPLETE = "RM201", Done, "The changelog does not say everything",
        "A matrix needs facts that a changelog leaves to people, such as whether the code always writes a column.",
        "Check each line of the matrix with a comment, and correct it.";
    pub DOUBTFUL = "RM202", Done, "The matrix is doubtful",
        "The matrix can be used, and says something that is probably not meant.",
        "Check what the message names.";
}
