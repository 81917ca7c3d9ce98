/// The reference page of all settings, written from the table of keys.
public enum SettingsReference {
    private static var models: String {
        let head = """

            ## Members of a model

            Beside its `path`, a model in the file can have these; where one is absent, the engine's setting holds.
            What they do together is in [several models](../operations/models.md).

            | Member | Allowed | Meaning |
            |---|---|---|

            """
        return ModelOption.all.reduce(head) { $0 + "| `\($1.name)` | \($1.kind.allowed) | \($1.help) |\n" }
    }

    public static var markdown: String {
        var text = """
            # Configuration

            <!-- This page is generated from the table of keys; a test compares both. -->

            A setting comes from, in rising order: its default, the file, the environment, a flag of `apus serve`.
            `apus config check` takes the same flags, checks everything, and prints the effective settings and where each
            came from. Unknown keys and values that do not fit are errors.

            The file is named by `\(ConfigurationLoader.fileFlag) FILE` or `\(ConfigurationLoader.fileVariable)` and holds \
            one JSON object with a member for each section. Relative paths in it start at its folder. Its `models` name \
            the models to serve, and those names can stand for the paths on the command line:

            ```json
            {
              "server": {"port": 9000, "api_key_file": "keys.txt"},
              "engine": {"parallel": 8},
              "models": {
                "small": {"path": "models/small-q8_0.gguf"},
                "large": {"path": "models/large-q4_k_m.gguf", "load": "demand", "idle_unload_seconds": 600}
              }
            }
            ```

            Lists are JSON arrays in the file, and separated by commas elsewhere.

            SIGHUP has a running server read its settings again. If all of them are valid, those that say "reload" change
            together, the contents of the key files and the served `models` included, and the log names those that differ
            but need a restart. If one is not valid, nothing changes, and the log says why. A model with other settings is
            loaded beside its old worker, which it then replaces; `engine.load_seconds`, `engine.stall_seconds`,
            `engine.confinement` and `engine.committed_cache` hold for models that are loaded from then on.

            | Key in the file | Environment | Flag | Allowed | Default | Changes by | Meaning |
            |---|---|---|---|---|---|---|

            """
        for key in SettingsKey.all {
            let cells = [
                "`\(key.name)`", "`\(key.environment)`", "`\(key.flag) \(key.placeholder)`", key.kind.allowed,
                key.defaultText, key.reloads ? "reload" : "restart", key.help,
            ]
            text += "| " + cells.joined(separator: " | ") + " |\n"
        }
        return text + models
    }
}
