//! Callers that wait for each answer, from text to classes.

use fqbert_runtime::{Classifier, Session, TaskError};

use crate::history::{History, in_full};
use crate::property::Property;
use crate::scenario::Step;
use crate::world::bits;

/// Lets the steps happen, and gives the session back.
pub fn happen(history: &mut History<'_>, session: Session) -> Option<Session> {
    let scenario = history.scenario;
    let mut classifier = match Classifier::new(session) {
        Ok(classifier) => classifier,
        Err(error) => {
            history.violate(Property::Answered, in_full(&error));
            return None;
        }
    };
    for step in &scenario.steps {
        history.tell(|_| step.to_string());
        let began = history.now();
        let texts = match step {
            Step::Classify(text) => {
                let answer = classifier.classify(history.question(*text).text);
                judge(history, *text, answer.map(|a| a.logits));
                1
            }
            Step::ClassifyBatch(texts) => {
                let all: Vec<&str> = texts.iter().map(|t| history.question(*t).text).collect();
                match classifier.classify_batch(&all) {
                    Ok(answers) if answers.len() == texts.len() => {
                        for (text, answer) in texts.iter().zip(answers) {
                            judge(history, *text, Ok(answer.logits));
                        }
                    }
                    Ok(answers) => {
                        let told = format!("{} answers to {}", answers.len(), texts.len());
                        history.violate(Property::Answered, told);
                    }
                    Err(error) => judge(history, 0, Err(error)),
                }
                texts.len() as u32
            }
            _ => 0,
        };
        history.check_time(began, texts);
    }
    history.heal();
    Some(classifier.into_session())
}

fn judge(history: &mut History<'_>, text: usize, answer: Result<Vec<f32>, TaskError>) {
    let answer = answer.map(|logits| bits(&logits));
    history.judge(text, answer.map_err(|e| in_full(&e)));
}
