//! Has every object of a kind stored anew, in the version that its definition says. An empty merge patch re-encodes an object, and does
//! nothing where it is stored so already (measured with Kubernetes 1.34: no other write is as cheap).

use fairlead_migration::change::{Images, Target};
use fairlead_migration::executor::Task;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::progress::Swept;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::Status;
use serde_json::{Value, json};

use super::{Objects, Subject};
use crate::cluster::{FIELD_MANAGER, PAGE_SIZE};
use crate::resource::Resource;

impl Objects<'_> {
    /// Sweeps one page. A list that has expired begins again: what is stored anew already costs one request more.
    ///
    /// Decision: a sweep acts only while the definition of the kind stores `version`. Forward, objects are swept after the definition was
    /// changed, and going back after it was changed back; the order of stages is the same in both directions. So a plan has the sweep
    /// twice, before and after the change of the definition, and each time one of the two has nothing to do.
    ///
    /// # Errors
    ///
    /// [`Obstacle::NotYet`] forward, while the definition stores another version: of the two it is the other one that acts.
    pub(super) async fn sweep_page(
        &self,
        kind: &Subject<'_>,
        task: &Task<'_>,
        next: Option<&str>,
    ) -> Result<Swept, Obstacle> {
        let Images::Sweep(_, version) = &task.change.images else { return Ok(Swept::default()) };
        if next.is_none()
            && let Some(stored) = self.stored_as(&kind.resource).await?.filter(|stored| stored != version)
        {
            // Whoever has kept the definition, or changed it again, keeps what is stored.
            if task.is_undo {
                return Ok(Swept::default());
            }
            let operation = format!("store every {} as {version}", kind.resource.kind);
            return Err(Obstacle::NotYet { operation, what: format!("its definition, which stores {stored},") });
        }
        let params = ListParams { limit: Some(PAGE_SIZE), continue_token: next.map(str::to_owned), ..ListParams::default() };
        let request = kube::core::Request::new(kind.resource.path(None)).list_metadata(&params);
        let request = request
            .map_err(|source| Obstacle::Refused { operation: kind.operation("list").to_string(), source: source.into() })?;
        let page = match self.cluster.send(request).await {
            Ok(page) => page,
            Err(error) if next.is_some() && error.status().is_some_and(|status| status.code == 410) => {
                return Box::pin(self.sweep_page(kind, task, None)).await;
            }
            Err(error) => return Err(self.cluster.obstacle(kind.operation("list"), error).await),
        };
        let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        stream::iter(items)
            .map(|item| self.store_anew(&kind.resource, item))
            .buffer_unordered(self.cluster.concurrency().min(task.stage.concurrency.max(1)))
            .try_collect::<Vec<()>>()
            .await?;
        let next = page["metadata"]["continue"].as_str().filter(|token| !token.is_empty()).map(str::to_owned);
        Ok(Swept { count: items.len(), next })
    }

    /// The version in which new objects of a custom kind are stored.
    async fn stored_as(&self, resource: &Resource) -> Result<Option<String>, Obstacle> {
        let definition = self.get(&definition_of(resource)).await?.unwrap_or_default();
        let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
        let stored = versions.filter(|version| version["storage"] == true).find_map(|version| version["name"].as_str());
        Ok(stored.map(str::to_owned))
    }

    async fn store_anew(&self, resource: &Resource, item: &Value) -> Result<(), Obstacle> {
        let text = |field: &str| item["metadata"][field].as_str().map(str::to_owned);
        let target = Target {
            api_version: resource.api_version(),
            kind: resource.kind.clone(),
            namespace: text("namespace"),
            name: text("name").unwrap_or_default(),
        };
        let subject = Subject { target: &target, resource: resource.clone() };
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let request = subject.requests().patch(&target.name, &params, &Patch::Merge(&json!({})));
        match self.send(&subject, "patch", request).await? {
            Err(error) if !error.status().is_some_and(Status::is_not_found) => {
                Err(self.refused(&subject, "patch", error).await)
            }
            _ => Ok(()),
        }
    }
}

/// The definition of a custom kind; there is none of a built-in one.
pub(super) fn definition_of(resource: &Resource) -> Target {
    let [api_version, kind] = ["apiextensions.k8s.io/v1", "CustomResourceDefinition"].map(str::to_owned);
    Target { api_version, kind, namespace: None, name: resource.full_name() }
}
