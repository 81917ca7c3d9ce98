import Platform
import Supervision

/// Finds the GGUF that stands for a `model_path`.
///
/// `APUS_RKLLM_MAP` is a list of `from=to`, with colons between them. A `from` without a slash is a file name in any folder;
/// `to` is a GGUF, or `demo`.
struct ModelPath {
    static let variable = "APUS_RKLLM_MAP"
    /// The word for the bundled model, as on the command line.
    static let demo = "demo"

    private let places: [(from: Substring, to: Substring)]

    /// - Parameter map: the variable's value.
    init(map: String?) throws(Refusal) {
        var places: [(Substring, Substring)] = []
        for entry in (map ?? "").split(separator: ":") {
            guard let equals = entry.firstIndex(of: "="), equals > entry.startIndex,
                entry.index(after: equals) < entry.endIndex
            else {
                throw Refusal(
                    "\(Self.variable) has the entry '\(entry)'; an entry is FROM=TO, and there are colons between them")
            }
            places.append((entry[..<equals], entry[entry.index(after: equals)...]))
        }
        self.places = places
    }

    func source(of path: String) throws(Refusal) -> ModelSource {
        let name = path.split(separator: "/").last ?? ""
        if let place = places.first(where: { $0.from == path || $0.from == name }) {
            return Self.source(String(place.to))
        }
        guard !path.hasSuffix(".rkllm") else {
            throw Refusal(
                "'\(name)' is a file for the NPU, and \(Self.variable) names no GGUF for it; "
                    + "for example \(Self.variable)='\(name)=model.gguf'")
        }
        return Self.source(path)
    }

    private static func source(_ word: String) -> ModelSource { word == demo ? .bundledDemo : .file(path: word) }
}
