import EngineProtocol
import Supervision

@testable import Serving

extension Serving {
    /// Adds a model whose only worker is the test's own.
    func add(name: String, supervisor: any SupervisedWorker) {
        let settings = ServedModel.Settings(
            sources: ModelSources(.bundledDemo),
            load: LoadRequest(source: .bundledDemo, purpose: .generate, displayName: name))
        let added = ServedModel(name: name, settings: settings) { _ in supervisor }
        try? registry.apply(registry.slots.map(\.model) + [added])
    }
}
