//! Calls that are reserved for functions: as many of a function run at once as these, and nobody else has them.

use std::collections::BTreeMap;

use aloft_base::FunctionName;
use aloft_store::layout::{self, Namespace};

use crate::functions::KIND;
use crate::{Error, Functions};

/// Functions whose heads are read at once.
const PAGE: usize = 1_000;

/// What is reserved for which function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reserved(BTreeMap<FunctionName, usize>);

impl Reserved {
    /// The calls that are reserved for a function, if some are; 0 when nothing of it is to run.
    pub fn get(&self, function: &FunctionName) -> Option<usize> {
        self.0.get(function).copied()
    }

    /// The functions, each with its calls.
    pub fn iter(&self) -> impl Iterator<Item = (&FunctionName, usize)> {
        self.0.iter().map(|(function, calls)| (function, *calls))
    }

    /// The calls that are reserved for all functions together.
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }

    pub(crate) fn set(&mut self, function: &FunctionName, calls: Option<usize>) {
        match calls {
            Some(calls) => self.0.insert(function.clone(), calls),
            None => self.0.remove(function),
        };
    }
}

impl Functions {
    /// What is reserved for a function.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub async fn reserved(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
    ) -> Result<Option<u32>, Error> {
        Ok(self.find(namespace, function).await?.head.reserved)
    }

    /// Reserves calls for a function, or none any more. Calls that come from now on meet the new bound. At most `most` are reserved for
    /// all functions together. Only more of them than before can be too many: whoever gives some up may do so also when more are reserved
    /// than a node that was started anew has.
    ///
    /// # Errors
    /// [`Error::Missing`], and [`Error::TooManyReserved`].
    pub async fn reserve(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        calls: Option<u32>,
        most: usize,
    ) -> Result<(), Error> {
        // One after another: the sum is nobody's row.
        let _turn = self.reserving().lock().await;
        let wanted = calls.unwrap_or_default() as usize;
        let reserved = self.catalogue().reserved();
        let former = reserved.get(function).unwrap_or_default();
        let most = most.saturating_sub(reserved.total() - former);
        if wanted > former.max(most) {
            return Err(Error::TooManyReserved {
                function: function.clone(),
                most,
            });
        }
        self.again(function, |attempt| async move {
            let mut found = self.find(namespace, function).await?;
            found.head.reserved = calls;
            let batch = found.write(self.batch());
            Ok(self.committed(batch, attempt).await?.then_some(()))
        })
        .await?;
        self.catalogue()
            .reserve(function, calls.map(|calls| calls as usize));
        Ok(())
    }

    /// Tells the catalogue what is reserved for all functions: at a node's start. Answers the names of all functions.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn load_reserved(&self, namespace: &Namespace) -> Result<Vec<FunctionName>, Error> {
        let (mut after, mut functions) = (None::<String>, Vec::new());
        loop {
            let page = layout::list(self.store(), namespace, KIND, after.as_deref(), PAGE).await?;
            let (names, more) = page;
            for (name, _) in &names {
                if let Ok(function) = name.parse() {
                    self.reload_reserved(namespace, &function).await?;
                    functions.push(function);
                }
            }
            match names.last() {
                Some((last, _)) if more => after = Some(last.clone()),
                _ => return Ok(functions),
            }
        }
    }

    /// Tells the catalogue what is reserved for one function: whoever changed it may have gone before they could.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn reload_reserved(&self, namespace: &Namespace, function: &FunctionName) -> Result<(), Error> {
        let calls = match self.reserved(namespace, function).await {
            Ok(calls) => calls,
            Err(Error::Missing { .. }) => None,
            Err(error) => return Err(error),
        };
        let calls = calls.map(|calls| calls as usize);
        if self.catalogue().reserved().get(function) != calls {
            self.catalogue().reserve(function, calls);
        }
        Ok(())
    }
}
