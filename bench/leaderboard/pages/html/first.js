/* Before anything is drawn: what scripts will arrange is not laid out twice. */
document.documentElement.classList.add("js");
